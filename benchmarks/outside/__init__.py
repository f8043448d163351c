"""Programs that no one here wrote: started on loopback, on a free port, from a folder of theirs."""
