"""A document as blocks, which every renderer understands."""
