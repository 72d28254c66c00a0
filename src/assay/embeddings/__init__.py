"""Word and document vectors: word2vec, doc2vec, GloVe, and the search for what is near."""
