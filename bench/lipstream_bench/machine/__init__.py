"""What figures are measured on, and how they are summarised."""
