"""What a compute device needs: precision, memory format, allocator settings, timing."""
