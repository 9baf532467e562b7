"""Device support: number formats, memory layout, allocator, out-of-memory detection, stage times."""
