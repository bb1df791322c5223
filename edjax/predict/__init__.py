"""What a graduate says of pictures in files: which are found, asked, written and scored."""
