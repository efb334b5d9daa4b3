"""From uneven devices and a latency budget to parts, students and their places. No files, no network."""
