"""Every bound of the wire, named once; reaching one is a refusal with a reason."""

INLINE_BYTES_MAX = 2 * 1024 * 1024
"""A prepared input pushed beside its assignment; larger ones are refused until blobs carry them."""

MESSAGE_BYTES_MAX = 64 * 1024
"""One JSON message in an envelope's header."""

BATCH_BYTES_MAX = 4 * 1024 * 1024
BATCH_MESSAGES_MAX = 1_000
"""A list of events or effects between gateway and coordinator."""

FRAME_HEADER_BYTES_MAX = 64 * 1024
FRAME_BODY_BYTES_MAX = 16 * 1024 * 1024
"""One frame between an agent or gateway and its worker process."""

UPLOAD_BYTES_MAX = 8 * 1024 * 1024
JSON_BODY_BYTES_MAX = 12 * 1024 * 1024
PICTURE_PIXELS_MAX = 40_000_000
"""What a requester may send."""

DEADLINE_MS_MIN = 200
DEADLINE_MS_DEFAULT = 4_000
DEADLINE_MS_MAX = 60_000

THRESHOLD_REPORT = 2_000
"""A node reports detections from this score on, in 1e-4."""

THRESHOLD_FLOOR = 2_500
"""The service's floor and default, in 1e-4; a lower request is refused."""

DETECTIONS_MAX = 300
LINES_MAX = 300
LINE_CHARACTERS_MAX = 256
LINES_BYTES_MAX = 64 * 1024
"""What one recognition of text may hold: lines, characters of one, and bytes of all."""

PROBES_MAX = 16
DITHER_BITS = 20
"""Lower bits of a probe seed, which are an assignment's own where its workload dithers; the others are the task's."""
WORKLOADS_PER_OFFER_MAX = 32
SLOTS_PER_OFFER_MAX = 256
