"""The page of the owner of the documents: what was asked, and what was not answered."""
