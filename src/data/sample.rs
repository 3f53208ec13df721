//! The samples that come inside the program, so that there is something to see before anything is opened.

use super::synthetic::{chest_xray, lumbar_ct, lumbar_mr};
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

/// Samples that are generated when they are asked for; the files in `sample-data/` hold the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A CT of the lumbar spine in Hounsfield units, 24 slices.
    LumbarCt,
    /// A sagittal MR of the lumbar spine, 16 slices, with the vertebrae as label.
    LumbarMr,
    /// A chest radiograph with an opacity as label.
    ChestXray,
}

impl Sample {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 3] = [Self::LumbarCt, Self::LumbarMr, Self::ChestXray];

    /// For menus and as the name of the case.
    pub fn name(self) -> &'static str {
        match self {
            Self::LumbarCt => "lumbar spine, CT (synthetic)",
            Self::LumbarMr => "lumbar spine, MR (synthetic)",
            Self::ChestXray => "chest radiograph (synthetic)",
        }
    }

    /// Generates it, with its label if it has one.
    ///
    /// # Errors
    /// Never for the sizes that are asked for here; the generators say what else would fail.
    pub fn generate(self) -> Result<(Stack, Option<LabelStack>), DataError> {
        let labelled = |[stack, mask]: [Stack; 2]| Ok((stack, Some(LabelStack::from_stack(&mask)?)));
        match self {
            Self::LumbarCt => Ok((lumbar_ct(1, 144, 24)?, None)),
            Self::LumbarMr => labelled(lumbar_mr(1, 144, 16)?),
            Self::ChestXray => labelled(chest_xray(1, 320, true)?),
        }
    }
}
