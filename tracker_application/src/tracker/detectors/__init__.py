"""Vehicle detectors for single images, one per file; all return `boxes.Boxes`."""
