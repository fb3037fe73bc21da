"""A page on which a person corrects the tracker's boxes on some frames of a film, and the ground truth made from it."""
