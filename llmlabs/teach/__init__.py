"""What an instructor does around grading: collect what was handed in, report on a class, export its grades."""
