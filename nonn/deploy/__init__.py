"""Devices on boards over ssh: what an inventory wants, what a board has, and the steps in between."""
