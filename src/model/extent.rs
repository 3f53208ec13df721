//! How the map that a network puts out lies on the image that it was given.

/// How an output of another size than the input lies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// It covers all of the image: of the same size, or at another resolution (a stride that was not undone).
    Whole,
    /// It is that of the middle: so many rows, and as many columns, are lost at both ends together (convolutions without
    /// padding, as in Ronneberger et al. 2015).
    Inner(usize),
}

/// Height and width of an input and of its output.
pub(super) type Sizes = [[usize; 2]; 2];

/// How the output lies on the input, from its size for one input and, where the network takes another, for that one too: what is
/// lost at the ends stays the same, a resolution does not.
///
/// # Errors
/// If neither holds; the text says what was seen.
pub(super) fn extent(one: Sizes, other: Option<Sizes>) -> Result<Extent, String> {
    let all: Vec<Sizes> = [Some(one), other].into_iter().flatten().collect();
    if all.iter().all(|[input, output]| input == output) {
        return Ok(Extent::Whole);
    }
    let lost = |[input, output]: &Sizes| match (input[0].checked_sub(output[0]), input[1].checked_sub(output[1])) {
        (Some(rows), Some(columns)) if rows == columns => Some(rows),
        _ => None,
    };
    let whole = all.iter().all(is_another_resolution);
    match lost(&one).filter(|lost| *lost > 0 && all.iter().all(|sizes| loses(*lost, sizes))) {
        // Seen at two sizes, or no resolution at all.
        Some(lost) if other.is_some() || !whole => Ok(Extent::Inner(lost)),
        _ if whole => Ok(Extent::Whole),
        _ if all.iter().all(|[input, output]| output[0] == input[0] * input[1]) => {
            let [[rows, columns], [pixels, values]] = one;
            Err(format!(
                "its output is {pixels}×{values} for an image of {rows}×{columns}: all pixels lie on one axis ({rows} · {columns} = \
                 {pixels}), with their classes behind them. Export it without the Reshape at its end, so that rows and columns stay"
            ))
        }
        _ => {
            let words = |[i, o]: &Sizes| format!("{}×{} for an image of {}×{}", o[0], o[1], i[0], i[1]);
            let words: Vec<String> = all.iter().map(words).collect();
            Err(format!(
                "its output is {} (rows × columns): neither the image at another resolution nor its middle, so that nobody knows \
                 which pixel is where. Export it with padded convolutions, or with another size",
                words.join(" and ")
            ))
        }
    }
}

/// Whether so many rows and columns are lost.
fn loses(lost: usize, [input, output]: &Sizes) -> bool {
    (0..2).all(|axis| output[axis] + lost == input[axis])
}

/// Whether a whole number of pixels of one are a pixel of the other, on both axes alike, give or take the rounding of strides.
fn is_another_resolution([input, output]: &Sizes) -> bool {
    let factor = |axis: usize| {
        let (large, small) = (input[axis].max(output[axis]), input[axis].min(output[axis]).max(1));
        let factor = (large as f64 / small as f64).round() as usize;
        (large.abs_diff(factor * small) <= factor && (factor > 1 || large == small)).then_some(factor)
    };
    factor(0).is_some() && factor(0) == factor(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_stay_and_resolutions_grow() {
        let square = |input: usize, output: usize| [[input; 2], [output; 2]];
        for (one, other, expected) in [
            (square(64, 64), None, Extent::Whole),
            (square(64, 56), Some(square(96, 88)), Extent::Inner(8)),
            (square(572, 388), None, Extent::Inner(184)),
            (square(572, 388), Some(square(588, 404)), Extent::Inner(184)),
            (square(64, 16), Some(square(96, 24)), Extent::Whole),
            (square(65, 33), Some(square(97, 49)), Extent::Whole),
            (square(32, 64), None, Extent::Whole),
            // Half of it at one size: a stride. At two sizes: a margin.
            (square(64, 32), None, Extent::Whole),
            (square(64, 32), Some(square(96, 64)), Extent::Inner(32)),
        ] {
            assert_eq!(extent(one, other), Ok(expected), "{one:?} {other:?}");
        }
        assert!(extent(square(64, 50), Some(square(96, 90))).unwrap_err().contains("50×50"));
        let apart = extent([[64, 64], [60, 56]], None).unwrap_err();
        let flat = extent([[16, 20], [320, 3]], None).unwrap_err();
        assert!(apart.contains("which pixel is where") && !apart.contains("Reshape"), "{apart}");
        assert!(flat.contains("all pixels lie on one axis") && flat.contains("Reshape"), "{flat}");
    }
}
