"""What people read afterwards: timelines for editors, pictures, summaries."""
