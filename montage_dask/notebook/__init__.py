"""How the objects of the API show themselves in notebooks: small pieces of HTML, and displays that follow running work."""
