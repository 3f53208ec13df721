//! The sample that comes inside the program, so that there is something to see before anything is opened.

use super::{DataError, LabelStack, Stack, open_bytes};

/// The name of the bundled sample.
pub const BUNDLED_SAMPLE_NAME: &str = "membranes (synthetic sample)";

/// Synthetic serial-section membranes, one slice, and their exact label (255 cell, 0 membrane).
///
/// # Errors
/// If the program was built with files that it cannot read.
pub fn bundled_sample() -> Result<(Stack, LabelStack), DataError> {
    let stack = open_bytes("membranes.png", include_bytes!("../../sample-data/membranes.png"))?;
    let label = open_bytes("membranes-mask.png", include_bytes!("../../sample-data/membranes-mask.png"))?;
    let label = LabelStack::from_stack(&label)?;
    label.check_fits(&stack)?;
    Ok((stack, label))
}
