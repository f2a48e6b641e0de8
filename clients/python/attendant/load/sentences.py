"""English sentences to send when no file is given. Of different lengths, as real text is."""

SENTENCES = (
    "Good morning.",
    "The baker opens her shop at six.",
    "Two children are drawing a boat on the pavement.",
    "It rained all night, so the path by the river is closed.",
    "An old man with a red umbrella waits for the last bus.",
    "Where can I buy a ticket?",
    "The dog sleeps under the table while the family has dinner.",
    "A woman in a blue coat carries a box of apples up the stairs, and her son holds the door.",
)
"""In the order they are sent in."""
