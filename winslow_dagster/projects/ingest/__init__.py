"""Watched folders: files found in them become projects."""
