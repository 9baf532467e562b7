"""What all REST routes share: answers, refusals, forms and uploads."""
