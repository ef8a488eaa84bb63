"""The demonstration: a broker, two pretend pumps, the daemon and a subscriber, each a process as in real life."""
