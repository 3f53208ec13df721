//! What there is to know of a model before it is used: what its file says, what was guessed, what it costs.

use std::path::PathBuf;

/// Where a model came from, and what a person should look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its file, if it came from one.
    pub path: Option<PathBuf>,
    /// Other files that hold weights of it.
    pub beside: Vec<PathBuf>,
    /// Of the file, for people: `ONNX, opset 17`.
    pub format: String,
    /// What the card says that neither a person nor the file said: a line each, for confirmation. Empty if a card lay beside
    /// the file.
    pub guessed: Vec<String>,
    /// Why the card that lies beside the file was not used and another one guessed, if so.
    pub refused_card: Option<String>,
    /// What else should be known: weights that are not used, logits that are log-odds of probabilities.
    pub notes: Vec<String>,
}

/// A model in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Where it came from.
    pub facts: Facts,
    /// What it takes: name and shape of each input.
    pub inputs: Vec<String>,
    /// What it gives: name and shape of each output.
    pub outputs: Vec<String>,
    /// The names of the outputs that can be chosen: those of a graph.
    pub output_names: Vec<String>,
    /// Its operators, with how often each occurs.
    pub operators: Vec<(String, usize)>,
    /// Weights, counted one by one.
    pub parameters: u64,
    /// What they take.
    pub weight_bytes: u64,
    /// Height and width of the image that the figures below are for.
    pub size: [usize; 2],
    /// Floating-point operations of one forward pass, a multiplication and an addition counting two, if they are known.
    pub flops: Option<u64>,
    /// Bytes that the gradient takes at its peak, about.
    pub gradient_bytes: u64,
}
