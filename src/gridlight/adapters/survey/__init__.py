"""What a doctor looks at: the machine, and the way to the network. It sees and judges nothing."""
