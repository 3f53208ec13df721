//! Images that the project generates itself, with exact labels: what `sample-data/` and the bundled model are made of.
