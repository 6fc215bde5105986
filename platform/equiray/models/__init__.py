"""What is run: language models, embeddings, answer scores, classifiers. Imports no Ray."""
