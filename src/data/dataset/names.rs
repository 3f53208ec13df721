//! What words in the names of files and folders mean.

use std::cmp::Ordering;
use std::path::Path;

/// Words in the name of a file that is a mask rather than an image.
const MASK_WORDS: [&str; 18] = [
    "mask",
    "masks",
    "seg",
    "segs",
    "segm",
    "segmentation",
    "segmentations",
    "label",
    "labels",
    "gt",
    "truth",
    "groundtruth",
    "ground",
    "annotation",
    "annotations",
    "target",
    "targets",
    "labelmap",
];
/// Ends of such words: `gmseg`, `totalseg`.
const MASK_ENDS: [&str; 3] = ["seg", "mask", "labels"];
/// Words that say of a mask that people drew or corrected it.
const MANUAL_WORDS: [&str; 7] = ["manual", "gold", "goldstandard", "gt", "groundtruth", "truth", "expert"];
/// Words in the name of an image that its mask does not repeat.
const IMAGE_WORDS: [&str; 12] =
    ["img", "imgs", "image", "images", "volume", "vol", "scan", "input", "raw", "orig", "original", "data"];
/// Folders of masks.
const MASK_FOLDERS: [&str; 20] = [
    "mask",
    "masks",
    "label",
    "labels",
    "labelstr",
    "labelsts",
    "annotation",
    "annotations",
    "gt",
    "groundtruth",
    "ground_truth",
    "segmentation",
    "segmentations",
    "seg",
    "segs",
    "target",
    "targets",
    "manual",
    "1st_manual",
    "annots",
];
/// Folders of images.
const IMAGE_FOLDERS: [&str; 15] = [
    "image",
    "images",
    "img",
    "imgs",
    "imagestr",
    "imagests",
    "input",
    "inputs",
    "scan",
    "scans",
    "volumes",
    "raw",
    "original",
    "originals",
    "data",
];

/// The name of a file without its folder and its ending; `.nii.gz` is one ending.
pub(super) fn stem(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = match plain.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => plain,
    };
    stem.to_owned()
}

/// The words of a name, in lower case.
pub(super) fn words(stem: &str) -> Vec<String> {
    let lower = stem.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_mask_word(word: &str) -> bool {
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    MASK_WORDS.contains(&letters) || MASK_ENDS.iter().any(|end| letters.ends_with(end))
}

/// Whether the words of a name say that it is a mask.
pub(super) fn are_of_mask(words: &[String]) -> bool {
    words.iter().any(|word| is_mask_word(word))
}

/// Whether the name of a file says that it is a mask: `x_mask.png`, `train-labels.tif`, `t2_gmseg.nii.gz`.
pub fn is_named_mask(path: &Path) -> bool {
    are_of_mask(&words(&stem(path)))
}

/// Whether the words of a mask's name say that people drew it.
pub(super) fn are_manual(words: &[String]) -> bool {
    words.iter().any(|word| MANUAL_WORDS.contains(&word.as_str()))
}

/// The words of a mask's name before the first that says so.
pub(super) fn before_mask_word(words: &[String]) -> &[String] {
    let end = words.iter().position(|word| is_mask_word(word)).unwrap_or(words.len());
    &words[..end]
}

/// The words of an image's name without those at its end that say that it is one, or which channel (`_0000`).
pub(super) fn without_image_words(words: &[String]) -> &[String] {
    let is_channel = |word: &String| word.len() == 4 && word.starts_with("000");
    let kept = words.iter().rposition(|word| !IMAGE_WORDS.contains(&word.as_str()) && !is_channel(word));
    &words[..kept.map_or(0, |last| last + 1)]
}

/// Whether a folder of this name, in lower case, holds masks.
pub(super) fn is_mask_folder(name: &str) -> bool {
    MASK_FOLDERS.contains(&name)
}

/// Whether a folder of this name, in lower case, holds images.
pub(super) fn is_image_folder(name: &str) -> bool {
    IMAGE_FOLDERS.contains(&name)
}

/// The split that a word of a name stands for.
pub(super) fn split_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "train" | "training" | "imagestr" | "labelstr" => "train",
        "test" | "testing" | "imagests" | "labelsts" | "t10k" => "test",
        "val" | "valid" | "validation" => "validation",
        "dev" => "dev",
        "heldout" | "holdout" => "held out",
        _ => return None,
    })
}

/// Whether the names of folders number patients or cases, rather than name classes: `patient_017`, or long identifiers.
pub(super) fn are_identifiers(names: &[&str]) -> bool {
    const PREFIXES: [&str; 12] =
        ["patient", "pat", "p", "case", "subject", "subj", "sub", "id", "study", "series", "volume", "img"];
    let is_identifier = |name: &&str| {
        let lower = name.to_lowercase();
        let letters = lower.trim_end_matches(|c: char| !c.is_alphabetic()).trim_end_matches(['_', '-', ' ']);
        let numbered = lower.ends_with(|c: char| c.is_ascii_digit());
        let hexadecimal = name.len() >= 12 && name.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        hexadecimal || numbered && PREFIXES.contains(&letters)
    };
    // Bare numbers name classes (the digits of MNIST) while there are few of them.
    let bare = |name: &&str| name.chars().all(|c| c.is_ascii_digit());
    names.iter().all(is_identifier) || names.len() > 100 && names.iter().all(bare)
}

/// The name of a slice, counted from 0 as everywhere.
pub(super) fn slice_name(stem: &str, slice: usize, slices: usize, digits: usize) -> String {
    if slices == 1 { stem.to_owned() } else { format!("{stem} {slice:0digits$}") }
}

/// Compares names as people do: runs of digits by their value, all else by letters without case.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        let run = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (a_digits, b_digits) = (run(a_rest), run(b_rest));
        if a_digits > 0 && b_digits > 0 {
            let (a_number, b_number) = (&a_rest[..a_digits], &b_rest[..b_digits]);
            let value = |number: &str| number.trim_start_matches('0').len();
            let (x, y) = (a_number.trim_start_matches('0'), b_number.trim_start_matches('0'));
            let order = value(a_number).cmp(&value(b_number)).then_with(|| x.cmp(y));
            if order != Ordering::Equal {
                return order;
            }
            (a_rest, b_rest) = (&a_rest[a_digits..], &b_rest[b_digits..]);
            continue;
        }
        let (mut x, mut y) = (a_rest.chars(), b_rest.chars());
        match (x.next(), y.next()) {
            (Some(p), Some(q)) => {
                let order = p.to_lowercase().cmp(q.to_lowercase());
                if order != Ordering::Equal {
                    return order;
                }
                (a_rest, b_rest) = (x.as_str(), y.as_str());
            }
            (None, None) => return a.cmp(b),
            (p, q) => return p.is_some().cmp(&q.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(stem: &str) -> Vec<String> {
        words(stem)
    }

    #[test]
    fn masks_are_told_by_their_names() {
        for mask in
            ["x_mask.png", "train-labels.tif", "t2_gmseg.nii.gz", "01_seg.nii.gz", "a.b_labels.png", "mask12.bmp"]
        {
            assert!(is_named_mask(Path::new(mask)), "{mask}");
        }
        for image in ["x.png", "unlabelled.tif", "segovia.jpg", "maskell.png", "01_img.nii.gz", "targeted.png"] {
            assert!(!is_named_mask(Path::new(image)), "{image}");
        }
    }

    #[test]
    fn names_are_cut_where_roles_begin() {
        assert_eq!(stem(Path::new("a/t2.w.nii.gz")), "t2.w");
        assert_eq!(stem(Path::new(".hidden")), ".hidden");
        assert_eq!(before_mask_word(&split("t2_seg-manual")), ["t2"]);
        assert_eq!(without_image_words(&split("train-volume")), ["train"]);
        assert_eq!(without_image_words(&split("case_017_0000")), ["case", "017"]);
    }

    #[test]
    fn order_is_that_of_people() {
        let mut names = ["b", "a10", "a2", "A1", "a02", "a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "A1", "a02", "a2", "a10", "b"]);
    }

    #[test]
    fn patients_are_no_classes() {
        assert!(are_identifiers(&["patient_001", "patient_002"]));
        assert!(are_identifiers(&["00071198d059ba7f", "0280fa8f60f6bcae"]));
        assert!(!are_identifiers(&["covid19", "normal"]));
        assert!(!are_identifiers(&["0", "1", "2"]));
    }
}
