//! ONNX models at run time, differentiable: the file is parsed, its nodes are checked, folded and interpreted one by one
//! on burn's tensors of any rank, on any device. Shapes, indices and settings are computed on the host. Nothing here
//! knows model cards, preprocessing or tasks.
//!
//! [`Graph`] is all that others need. `build` makes a [`Program`](program) of a file, `fold` and `fuse` shorten it, `run` executes it,
//! `op` holds the operators, `budget` keeps them from asking for more memory than there is. `gradient` finds where gradients end, `ending` the final activation, `locality` how far a
//! pixel of the output sees, `layout` where the channels lie.

mod attribute;
mod budget;
mod build;
mod ending;
mod fold;
mod fuse;
mod gradient;
mod graph;
mod host;
mod layout;
mod locality;
mod messages;
mod op;
mod order;
mod program;
mod proto;
mod run;
mod summary;
mod tensor_file;
mod value;
mod weight;
mod wire;

pub use build::Unsupported;
pub use ending::FinalActivation;
pub use gradient::{Cut, GradientFlow};
pub use graph::Graph;
pub use host::{ElementType, HostTensor, Values};
pub(super) use layout::Seen;
pub use locality::Locality;
pub use op::names as operators;
pub use program::{Dim, Port};
pub(super) use summary::SIDES;
pub use summary::Summary;
pub use value::Value;
pub use weight::{Weight, Weights};

/// The tensor of a `.pb` file, as ONNX's own tests keep them, and its name.
///
/// # Errors
/// If it is damaged or of a type that is not computed with.
pub fn tensor_from_bytes(bytes: &[u8]) -> Result<(String, HostTensor), String> {
    let mut reader = proto::Reader::of(bytes);
    let proto = reader.whole_tensor()?;
    let name = proto.name.clone();
    Ok((name, tensor_file::read_tensor(proto, &mut reader, None)?))
}

/// An operator and the nodes that have it: `Round (nodes a, b)`.
fn with_nodes(operator: &str, nodes: &[&str]) -> String {
    format!("{operator} (node{} {})", if nodes.len() == 1 { "" } else { "s" }, nodes.join(", "))
}

/// What can be computed, for those whose model cannot.
fn supported_words() -> String {
    format!("These {} operators work: {}", operators().len(), operators().join(", "))
}
