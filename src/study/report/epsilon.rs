//! ε in words: the grammar of lists of ε on the command line, and how one ε is written for people.
//!
//! ε is a fraction of the width of the case's bounds, in [0, 1]; `4/255` is four grey levels of an 8-bit image.

/// A list longer than this is refused: each ε costs a panel and two forward passes.
pub const MOST_EPSILONS: usize = 256;

/// Two ε closer than this are the same point.
pub const SAME: f64 = 1e-12;

/// Why a list of ε could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an ε: {cause}")]
pub struct EpsilonError {
    /// The part that could not be read.
    pub text: String,
    /// Why, and what would work.
    pub cause: String,
}

fn error(text: &str, cause: impl Into<String>) -> EpsilonError {
    EpsilonError { text: text.to_owned(), cause: cause.into() }
}

/// Reads a list of ε: numbers and inclusive ranges `start..end:step`, separated by commas; a number is a decimal
/// (`0.3`, `1e-3`) or a fraction (`2/255`). The result is ascending and without duplicates.
///
/// # Errors
/// If a part is not a number in [0, 1], a range is empty or has no step, or the list has more than
/// [`MOST_EPSILONS`] values.
pub fn parse_list(text: &str) -> Result<Vec<f64>, EpsilonError> {
    parse_list_up_to(text, 1.0)
}

/// [`parse_list`] of numbers up to `largest`: an L2 norm may be larger than 1.
///
/// # Errors
/// As there.
pub fn parse_list_up_to(text: &str, largest: f64) -> Result<Vec<f64>, EpsilonError> {
    if text.trim().is_empty() {
        return Err(error(text, "the list is empty. Give values such as 0,1/255,0.1 or a range such as 0..0.9:0.1"));
    }
    let mut all = Vec::new();
    for item in text.split(',').map(str::trim) {
        match item.split_once("..") {
            Some((start, rest)) => range(item, start, rest, largest, &mut all)?,
            None => all.push(number_up_to(item, largest)?),
        }
        if all.len() > MOST_EPSILONS {
            return Err(error(text, format!("the list has more than {MOST_EPSILONS} values. Take a larger step")));
        }
    }
    all.sort_by(f64::total_cmp);
    all.dedup_by(|a, b| (*a - *b).abs() < SAME);
    Ok(all)
}

/// Reads one ε, a decimal or a fraction in [0, 1].
///
/// # Errors
/// If it is not one.
pub fn number(text: &str) -> Result<f64, EpsilonError> {
    number_up_to(text, 1.0)
}

fn number_up_to(text: &str, largest: f64) -> Result<f64, EpsilonError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(error(text, "a value is missing"));
    }
    let value = match text.split_once('/') {
        Some((numerator, denominator)) => {
            let denominator = decimal(text, denominator)?;
            if denominator == 0.0 {
                return Err(error(text, "it divides by zero"));
            }
            decimal(text, numerator)? / denominator
        }
        None => decimal(text, text)?,
    };
    if largest.is_infinite() && value < 0.0 {
        return Err(error(text, "it is below 0. ε is an L2 norm, as a fraction of the bounds' width"));
    }
    if !(0.0..=largest).contains(&value) {
        return Err(error(
            text,
            "it is outside [0, 1]. ε is a fraction of the bounds' width: write four grey levels of 8 bits as 4/255",
        ));
    }
    Ok(value)
}

fn decimal(whole: &str, text: &str) -> Result<f64, EpsilonError> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(error(whole, "write a decimal such as 0.3 or a fraction such as 2/255")),
    }
}

fn range(item: &str, start: &str, rest: &str, largest: f64, all: &mut Vec<f64>) -> Result<(), EpsilonError> {
    let Some((end, step)) = rest.split_once(':') else {
        return Err(error(item, "a range needs a step, as in 0..0.9:0.1"));
    };
    let (start, end, step) = (number_up_to(start, largest)?, number_up_to(end, largest)?, number_up_to(step, largest)?);
    if step <= 0.0 {
        return Err(error(item, "the step of a range must be above 0"));
    }
    if end < start {
        return Err(error(item, "a range ascends: its end is below its start"));
    }
    // The end belongs to the range even if rounding puts the last step slightly past it.
    let steps = ((end - start) / step + 1e-6).floor();
    if steps >= MOST_EPSILONS as f64 {
        return Err(error(item, format!("the range has more than {MOST_EPSILONS} values. Take a larger step")));
    }
    // At most MOST_EPSILONS, checked above.
    all.extend((0..=steps as usize).map(|i| tidy(start + i as f64 * step).min(end.max(start))));
    Ok(())
}

/// Undoes the rounding of adding steps: 0.30000000000000004 is 0.3, and k steps of 1/255 are k/255.
fn tidy(value: f64) -> f64 {
    let close = |candidate: f64| (candidate - value).abs() <= 8.0 * f64::EPSILON;
    let decimal = (value * 1e12).round() / 1e12;
    let level = (value * 255.0).round() / 255.0;
    if close(decimal) {
        decimal
    } else if close(level) {
        level
    } else {
        value
    }
}

/// At most `digits` decimals, without trailing zeros: `0.1`, `0.0157`.
fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// ε as a fraction of the bounds' width with three significant digits: `0.0157`, `0.1`, `0`.
pub fn fraction(epsilon: f64) -> String {
    if epsilon == 0.0 {
        return "0".to_owned();
    }
    // log10 of a value in (0, 1] is small; three significant digits need at most 14 decimals.
    let digits = (2.0 - epsilon.abs().log10().floor()).clamp(0.0, 14.0) as usize;
    trimmed(epsilon, digits)
}

/// ε in grey levels of 8 bits: `4/255`, `0.25/255`, `25.5/255`; `0` for zero.
pub fn levels(epsilon: f64) -> String {
    if epsilon == 0.0 {
        return "0".to_owned();
    }
    let levels = epsilon * 255.0;
    let digits = if levels < 0.1 { 4 } else { 2 };
    format!("{}/255", trimmed(levels, digits))
}

/// Whether ε is a round fraction (at most four decimals), and thus was probably meant as one.
fn is_round_fraction(epsilon: f64) -> bool {
    // Above 1, which is an L2 norm, nobody thinks of grey levels.
    epsilon > 1.0 || (epsilon * 1e4 - (epsilon * 1e4).round()).abs() < 1e-6
}

/// ε in the unit in which it was probably meant: `4/255`, but `0.1`; `0` for zero.
pub fn short(epsilon: f64) -> String {
    if is_round_fraction(epsilon) { fraction(epsilon) } else { levels(epsilon) }
}

/// ε in both units: `4/255 (0.0157)`, `0.1 (25.5/255)`; `0` for zero.
pub fn both(epsilon: f64) -> String {
    match epsilon {
        0.0 => "0".to_owned(),
        e if e > 1.0 => fraction(e),
        _ if is_round_fraction(epsilon) => format!("{} ({})", fraction(epsilon), levels(epsilon)),
        _ => format!("{} ({})", levels(epsilon), fraction(epsilon)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_for_people() {
        assert_eq!(both(4.0 / 255.0), "4/255 (0.0157)");
        assert_eq!((short(4.0157), both(512.0)), ("4.02".to_owned(), "512".to_owned()));
        assert_eq!(both(0.1), "0.1 (25.5/255)");
        assert_eq!(both(0.25 / 255.0), "0.25/255 (0.00098)");
        assert_eq!(levels(0.0118), "3.01/255");
        assert_eq!(both(1.0), "1 (255/255)");
        assert_eq!(both(0.0), "0");
        assert_eq!([short(0.2), short(51.5 / 255.0), short(0.0118)], ["0.2", "51.5/255", "0.0118"]);
    }

    #[test]
    fn ranges_are_tidy() {
        let grid = parse_list("0..0.9:0.1").unwrap();
        assert_eq!(grid, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
        let levels = parse_list("1/255..8/255:1/255").unwrap();
        assert_eq!(levels, (1..=8).map(|k| f64::from(k) / 255.0).collect::<Vec<_>>());
        assert_eq!(parse_list("0.5..0.5:0.1").unwrap(), [0.5]);
        assert_eq!(parse_list_up_to("0,2,512/255", f64::INFINITY).unwrap(), [0.0, 2.0, 512.0 / 255.0]);
        assert!(parse_list_up_to("-1", f64::INFINITY).unwrap_err().to_string().contains("below 0"));
        assert_eq!(parse_list("0..1:0.3").unwrap(), [0.0, 0.3, 0.6, 0.9]);
    }
}
