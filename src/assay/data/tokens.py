"""The five token ids that every vocabulary begins with, and how they are written."""

PAD = 0
UNKNOWN = 1
BEGIN = 2
END = 3
MASK = 4

STRINGS = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")

NOT_SCORED = -100
