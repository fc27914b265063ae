"""The one door from outside: requesters' HTTP, enrolment and replies of nodes; carries payloads, decides nothing."""
