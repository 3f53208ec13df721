//! The command line, one file a subcommand: parse, call, print.

pub mod synth;
pub mod train;
