//! The operators, a file a family: each takes what lies on its input edges and makes what goes on its output edges, on
//! the host where all of it is known there, else on the device, tracked by autodiff. Shapes are checked here, before the
//! tensor library sees them. An operator reads its definition's older versions too (attributes that became inputs).

mod activation;
mod arithmetic;
mod call;
mod compare;
mod conv;
mod create;
mod einsum;
mod gather;
mod grid_sample;
mod linear;
mod norm;
mod pad;
mod patch;
mod pool;
mod reduce;
mod resize;
mod scatter;
mod shape;
mod slice;
mod window;

pub use activation::{APART, softmax_places};
pub use call::Call;
pub use window::{kernel, windows};

use super::value::Value;

/// What an operator does: its outputs, or one line about what is wrong, without the node's name.
pub type Outcome = Result<Vec<Value>, String>;

/// An operator of ONNX.
#[derive(Debug)]
pub struct Operator {
    /// Its name in ONNX's own domain.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&mut Call<'_>) -> Outcome,
    /// Inputs that are settings and are read on the host, whatever their type.
    pub settings: &'static [usize],
    /// Whether the same inputs give the same outputs.
    pub pure: bool,
}

impl Operator {
    const fn new(name: &'static str, run: fn(&mut Call<'_>) -> Outcome) -> Self {
        Self { name, run, settings: &[], pure: true }
    }

    const fn with_settings(mut self, settings: &'static [usize]) -> Self {
        self.settings = settings;
        self
    }
}

/// Stands for an operator that is not there.
pub static UNSUPPORTED: Operator =
    Operator { pure: false, ..Operator::new("unsupported", |_| Err("this operator is not supported".to_owned())) };

/// If; its branches are run by the interpreter.
static IF: Operator = Operator { pure: false, ..Operator::new("If", |_| Err("it has no branches".to_owned())) };

static FAMILIES: &[&[Operator]] = &[
    activation::OPERATORS,
    arithmetic::OPERATORS,
    compare::OPERATORS,
    conv::OPERATORS,
    create::OPERATORS,
    einsum::OPERATORS,
    gather::OPERATORS,
    grid_sample::OPERATORS,
    linear::OPERATORS,
    norm::OPERATORS,
    pad::OPERATORS,
    patch::OPERATORS,
    pool::OPERATORS,
    reduce::OPERATORS,
    resize::OPERATORS,
    scatter::OPERATORS,
    shape::OPERATORS,
    slice::OPERATORS,
];

/// The operator called `name` in `domain`.
pub fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let own = domain.is_empty() || domain == "ai.onnx";
    // The extensions of onnxruntime that equal an operator of ONNX by another name.
    let extension = domain == "com.microsoft" && matches!(name, "Gelu" | "FastGelu" | "QuickGelu");
    if !own && !extension {
        return None;
    }
    if name == "If" {
        return Some(&IF);
    }
    FAMILIES.iter().copied().flatten().find(|o| o.name == name)
}

/// The names of all operators, sorted.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = FAMILIES.iter().copied().flatten().chain([&IF]).map(|o| o.name).collect();
    names.sort_unstable();
    names
}
