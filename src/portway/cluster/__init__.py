"""Who owns a name. ``table`` decides, ``local`` keeps the table of one process and writes it down."""
