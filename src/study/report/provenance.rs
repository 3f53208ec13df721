//! Where a report comes from: all that someone needs to make it again.

use std::time::{SystemTime, UNIX_EPOCH};

/// Facts about a run, in words. A report shows them as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Pairs of name and text, in the order shown: image, label, model, device, attack, ….
    pub facts: Vec<(&'static str, String)>,
    /// The command that makes the same report.
    pub command: String,
}

impl Provenance {
    /// Adds a fact, unless its text is empty.
    pub fn add(&mut self, name: &'static str, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.facts.push((name, text));
        }
    }
}

/// Now, as `2026-11-21 01:30 UTC`.
pub fn utc_now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    utc(seconds)
}

/// Seconds since 1970 as a date (Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
fn utc(seconds: u64) -> String {
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second_of_day / 3_600, second_of_day / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn dates() {
        // As `date -u -d @N` prints them.
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(utc(1_795_224_124), "2026-11-21 01:22 UTC");
        assert_eq!(utc(4_107_542_399), "2100-02-28 23:59 UTC");
    }
}
