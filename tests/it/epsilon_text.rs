//! The grammar of ε: lists and ranges that people type, and what is shown can be typed.

use epsiloscope::study::report::epsilon::{self, MOST_EPSILONS, parse_list};
use epsiloscope::study::report::noise_gain;
use proptest::prelude::*;

#[test]
fn lists_of_epsilon_are_read() {
    assert_eq!(parse_list("0,1/255,2/255,0.3").unwrap(), [0.0, 1.0 / 255.0, 2.0 / 255.0, 0.3]);
    assert_eq!(parse_list(" 0.3 , 0 ").unwrap(), [0.0, 0.3], "ascending, spaces do not matter");
    assert_eq!(parse_list("0..0.3:0.1,1/255, 0.2").unwrap(), [0.0, 1.0 / 255.0, 0.1, 0.2, 0.3], "no duplicates");
    assert_eq!(parse_list("0.5/255").unwrap(), [0.5 / 255.0]);
    assert_eq!(parse_list("1e-3").unwrap(), [1e-3]);
    assert_eq!(parse_list("0..0.9:0.1").unwrap().len(), 10, "the end belongs to the range");
}

#[test]
fn what_is_no_epsilon_is_explained() {
    for (text, word) in [
        ("", "empty"),
        ("0,,1", "missing"),
        ("a", "decimal"),
        ("nan", "decimal"),
        ("inf", "decimal"),
        ("-0.1", "outside"),
        ("4", "4/255"),
        ("1/0", "zero"),
        ("1/2/3", "decimal"),
        ("0..0.9", "step"),
        ("0..0.9:0", "above 0"),
        ("0.9..0:0.1", "ascends"),
        ("0..1:1e-9", "larger step"),
        ("0..1:0.1:2", "decimal"),
    ] {
        let message = parse_list(text).expect_err(text).to_string();
        assert!(message.contains(word), "{text}: {message}");
    }
    let many = (0..=MOST_EPSILONS).map(|i| format!("{}", i as f64 / 1000.0)).collect::<Vec<_>>().join(",");
    assert!(parse_list(&many).is_err());
}

proptest! {
    #[test]
    fn any_text_is_an_answer(text in "[0-9./,:e -]{0,40}") {
        if let Ok(list) = parse_list(&text) {
            prop_assert!(list.iter().all(|e| (0.0..=1.0).contains(e)) && list.is_sorted());
            prop_assert!(!list.is_empty() && list.len() <= MOST_EPSILONS);
        }
    }

    #[test]
    fn what_is_shown_can_be_typed(tenths in 0u32..=2550) {
        let value = f64::from(tenths) / 2550.0;
        prop_assert!((epsilon::number(&epsilon::levels(value)).unwrap() - value).abs() < 1e-9);
        prop_assert!((epsilon::number(&epsilon::fraction(value)).unwrap() - value).abs() <= 0.006 * value);
    }

    #[test]
    fn gains_fill_the_map_without_passing_it(epsilon in 1e-4f64..0.999) {
        let shown = noise_gain(epsilon) * epsilon;
        prop_assert!(shown <= 1.0 + 1e-6 && shown > 0.39, "{shown}");
    }
}
