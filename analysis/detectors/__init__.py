"""One file for each thing that is heard; every detector streams over the frames of many calls at once."""
