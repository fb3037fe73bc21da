"""Files that land in watched folders and become projects."""
