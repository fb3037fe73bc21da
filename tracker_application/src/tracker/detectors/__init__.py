"""What looks for vehicles in one picture. Each detector is one file; all give `boxes.Boxes`."""
