//! Which file is the mask of which image. The rules, the first that finds one:
//!
//! 1. In a folder of masks (`masks/`, `labelsTr/`) beside one of images: the file of the same name, with or without the
//!    words that say what it is (`case_0000` has the mask `case`, `x` has `x_segmentation`).
//! 2. All files of `masks/` where the folder of images beside it holds one image: one object each.
//! 3. In one folder: the mask whose name is the image's and a word for masks (`x`, `x_mask`; `01_img`, `01_seg`;
//!    `train-volume`, `train-labels`).
//! 4. In one folder, of one size: the image whose words begin the mask's name, the longest first; else the only image of
//!    that size, if the names share a word or the mask's says nothing but that it is one.
//!
//! A name that says mask counts where some names of the data set lead to an image. Of several masks the one that people drew (`manual`, `gt`) comes first, then the one of fewest words, then of the alphabet.

use super::names::{self, natural};
use super::scan::{Found, count, slices_of, some_of};
use std::collections::{BTreeMap, HashMap};

/// The masks of one image.
#[derive(Clone, Debug)]
pub(super) enum Masks {
    /// One file, an index into what was found.
    One(usize),
    /// One file for each object.
    Instances(Vec<usize>),
}

/// What belongs to what.
#[derive(Default)]
pub(super) struct Pairs {
    /// Indices of the files that are images, in their order, with their masks.
    pub images: Vec<(usize, Option<Masks>)>,
    pub rules: Vec<String>,
    pub notes: Vec<String>,
    /// Masks lie in the folders of their images.
    pub together: bool,
}

/// What a file is by its folders and its name.
struct Part<'a> {
    /// A folder on its way says that it is a mask.
    in_mask_folder: bool,
    /// Its folders without those that say images or masks.
    place: Vec<&'a str>,
    words: Vec<String>,
}

fn part(found: &Found) -> Part<'_> {
    let is_role = |name: &&String| names::is_mask_folder(name) || names::is_image_folder(name);
    Part {
        in_mask_folder: found.folders.iter().any(|name| names::is_mask_folder(name)),
        place: found.folders.iter().filter(|name| !is_role(name)).map(String::as_str).collect(),
        words: names::words(&found.stem),
    }
}

/// Finds the mask of each image among `files`.
pub(super) fn pair(files: &[Found]) -> Pairs {
    let parts: Vec<Part> = files.iter().map(part).collect();
    // A folder called `labels` is one of masks only beside images elsewhere.
    let any_outside = parts.iter().any(|part| !part.in_mask_folder);
    let is_mask = |index: usize| {
        let part = &parts[index];
        any_outside && (part.in_mask_folder || names::are_of_mask(&part.words) && has_neighbour(files, &parts, index))
    };
    let (mut masks, mut images): (Vec<usize>, Vec<usize>) = (0..files.len()).partition(|&index| is_mask(index));
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut instances: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut unpaired = Vec::new();
    let (mut by_folder, mut by_name) = (0, 0);
    let keys = Keys::new(files, &parts, &images);
    for &mask in &masks {
        if parts[mask].in_mask_folder {
            if let Some(image) = keys.same_name(files, &parts, mask) {
                found.entry(image).or_default().push(mask);
                by_folder += 1;
            } else if let Some(image) = keys.only_image(&parts, mask) {
                instances.entry(image).or_default().push(mask);
            } else {
                unpaired.push(mask);
            }
        } else if let Some(image) = keys.in_folder(files, &parts, mask) {
            found.entry(image).or_default().push(mask);
            by_name += 1;
        } else {
            unpaired.push(mask);
        }
    }
    if by_name == 0 {
        // A ski mask is no mask: where a name never led to an image, it says nothing.
        let is_named = |index: &usize| !parts[*index].in_mask_folder;
        images.extend(masks.iter().copied().filter(is_named));
        images.sort_unstable();
        masks.retain(|index| !is_named(index));
        unpaired.retain(|index| !is_named(index));
    }
    let mut pairs = Pairs { together: by_name > 0, ..Pairs::default() };
    if by_folder > 0 {
        pairs.rules.push("Masks: the file of the same name in the folder of masks".to_owned());
    }
    if !instances.is_empty() {
        pairs
            .rules
            .push("Masks: the union of all files in the image's folder of masks, one for each object".to_owned());
    }
    if by_name > 0 {
        pairs.rules.push("Masks: the file whose name is the image's with a word for masks, or continues it".to_owned());
    }
    note_choices(files, &parts, &mut found, &mut pairs.notes);
    if !unpaired.is_empty() {
        let names = some_of(unpaired.iter().map(|&index| files[index].path.as_path()));
        pairs.notes.push(format!("unpaired: {} without an image: {names}", count(unpaired.len(), "mask")));
    }
    pairs.images = images
        .into_iter()
        .map(|image| {
            let several = instances.remove(&image).map(Masks::Instances);
            let one = found.remove(&image).and_then(|masks| masks.first().copied()).map(Masks::One);
            (image, one.or(several))
        })
        .collect();
    let bare: Vec<&Found> = pairs.images.iter().filter(|(_, masks)| masks.is_none()).map(|(i, _)| &files[*i]).collect();
    if !masks.is_empty() && !bare.is_empty() {
        let names = some_of(bare.iter().map(|found| found.path.as_path()));
        // As entries are counted: a volume is as many as it has slices.
        let slices: usize = bare.iter().map(|found| slices_of(found)).sum();
        let what = if slices > bare.len() { "slice" } else { "image" };
        pairs.notes.push(format!("unpaired: {} without a mask: {names}", count(slices, what)));
    }
    pairs
}

/// A lone mask is opened as an image.
fn has_neighbour(files: &[Found], parts: &[Part], mask: usize) -> bool {
    // Neighbours of the sorted list first: in large folders the next file tells.
    let is_image =
        |index: &usize| files[*index].folders == files[mask].folders && !names::are_of_mask(&parts[*index].words);
    let near = mask.saturating_sub(8)..(mask + 8).min(files.len());
    near.into_iter().any(|index| is_image(&index)) || (0..files.len()).any(|index| is_image(&index))
}

/// Puts the masks of each image in order of preference, and says where there was a choice.
fn note_choices(files: &[Found], parts: &[Part], found: &mut BTreeMap<usize, Vec<usize>>, notes: &mut Vec<String>) {
    let mut choices = Vec::new();
    for (&image, masks) in found.iter_mut().filter(|(_, masks)| masks.len() > 1) {
        masks.sort_by(|&a, &b| {
            let rank = |mask: usize| (!names::are_manual(&parts[mask].words), parts[mask].words.len());
            rank(a).cmp(&rank(b)).then_with(|| natural(&files[a].stem, &files[b].stem))
        });
        choices.push(format!("{} of {} for {}", files[masks[0]].stem, masks.len(), files[image].stem));
    }
    if !choices.is_empty() {
        let shown = choices.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
        let more = if choices.len() > 6 { format!(" and {} more", choices.len() - 6) } else { String::new() };
        let rule = "those drawn by people first, then those of the shortest names";
        notes.push(format!("several masks for {}; chosen ({rule}): {shown}{more}", count(choices.len(), "image")));
    }
}

/// Images by where they are and what they are called.
struct Keys {
    by_name: HashMap<(String, String), usize>,
    by_words: HashMap<(String, String), usize>,
    by_place: HashMap<String, Vec<usize>>,
    by_folder: HashMap<String, Vec<usize>>,
}

fn key(parts: &[impl AsRef<str>]) -> String {
    parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/")
}

impl Keys {
    fn new(files: &[Found], parts: &[Part], images: &[usize]) -> Self {
        let mut keys = Self {
            by_name: HashMap::new(),
            by_words: HashMap::new(),
            by_place: HashMap::new(),
            by_folder: HashMap::new(),
        };
        for &image in images {
            let place = key(&parts[image].place);
            keys.by_name.insert((place.clone(), files[image].stem.to_lowercase()), image);
            let words = key(names::without_image_words(&parts[image].words));
            keys.by_words.entry((place.clone(), words)).or_insert(image);
            keys.by_place.entry(place).or_default().push(image);
            keys.by_folder.entry(key(&files[image].folders)).or_default().push(image);
        }
        keys
    }

    /// Rule 1.
    fn same_name(&self, files: &[Found], parts: &[Part], mask: usize) -> Option<usize> {
        let place = key(&parts[mask].place);
        let name = (place.clone(), files[mask].stem.to_lowercase());
        let cut = (place.clone(), key(names::before_mask_word(&parts[mask].words)));
        let whole = (place, key(&parts[mask].words));
        let found = self.by_name.get(&name).or_else(|| self.by_words.get(&whole)).or_else(|| self.by_words.get(&cut));
        found.copied()
    }

    /// Rule 2.
    fn only_image(&self, parts: &[Part], mask: usize) -> Option<usize> {
        match self.by_place.get(&key(&parts[mask].place))?[..] {
            [only] if !parts[mask].place.is_empty() => Some(only),
            _ => None,
        }
    }

    /// Rules 3 and 4.
    fn in_folder(&self, files: &[Found], parts: &[Part], mask: usize) -> Option<usize> {
        let neighbours = self.by_folder.get(&key(&files[mask].folders))?;
        let words = &parts[mask].words;
        let before = names::before_mask_word(words);
        let exact = (key(&parts[mask].place), key(before));
        if let Some(&image) = self.by_words.get(&exact)
            && !before.is_empty()
            && may_fit(&files[image], &files[mask])
        {
            return Some(image);
        }
        let of_size = || neighbours.iter().copied().filter(|&image| fits(&files[image], &files[mask]));
        let begins = |image: &usize| {
            let own = names::without_image_words(&parts[*image].words);
            !own.is_empty() && words.starts_with(own)
        };
        let longest = of_size().filter(begins).max_by_key(|&image| parts[image].words.len());
        longest.or_else(|| {
            let shares =
                |image: &usize| before.is_empty() || parts[*image].words.iter().any(|word| words.contains(word));
            let mut candidates = of_size().filter(shares);
            candidates.next().filter(|_| candidates.next().is_none())
        })
    }
}

/// Whether sizes do not contradict.
fn may_fit(image: &Found, mask: &Found) -> bool {
    image.size().zip(mask.size()).is_none_or(|(image, mask)| image == mask)
}

/// Whether sizes are known and agree.
fn fits(image: &Found, mask: &Found) -> bool {
    image.size().is_some() && image.size() == mask.size()
}
