"""Topic filters of MQTT: which are well formed, and which have a topic in common."""


def valid_filter(topic: str) -> bool:
    """Whether `topic` is a topic filter as MQTT defines it."""
    levels = topic.split("/")
    well_placed = all(level == "#" or "#" not in level for level in levels)
    return (
        bool(topic)
        and well_placed
        and "#" not in levels[:-1]
        and all(level == "+" or "+" not in level for level in levels)
    )


def filters_overlap(one: str, other: str) -> bool:
    """Whether some topic matches both filters."""
    for a, b in zip(one.split("/"), other.split("/"), strict=False):
        if "#" in (a, b):
            return True
        if a != b and "+" not in (a, b):
            return False
    longer = max((one.split("/"), other.split("/")), key=len)
    shorter = min(len(one.split("/")), len(other.split("/")))
    return len(longer) == shorter or longer[shorter] == "#"
