"""Starting and watching over the processes: what `faregate up` does."""
