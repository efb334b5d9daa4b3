"""What people look at: the page of a run, the terminal while it runs, the table and plot of a sweep."""
