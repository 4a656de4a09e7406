"""Make a small language model in the folder that is the argument: no grammar, but rules for a few names. Models that learned are not on the package index."""

import sys

import spacy

nlp = spacy.blank("en")
nlp.add_pipe("entity_ruler").add_patterns(
    [
        {"label": "PERSON", "pattern": "Ann Lee"},
        {"label": "PERSON", "pattern": [{"LOWER": "zoë"}]},
        {"label": "GPE", "pattern": "Berlin"},
        {"label": "ORG", "pattern": "Initech"},
    ]
)
nlp.to_disk(sys.argv[1])
