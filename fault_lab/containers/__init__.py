"""Clusters in containers: boards, compose files, and the Docker engine that runs them."""
