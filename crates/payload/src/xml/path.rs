//! Simple paths of `XPath`: names, `*`, `//`, and an attribute or `text()` at the end.
//!
//! Prefixes of names are compared as they are written, whatever namespaces they stand for.

use super::Xml;

/// A path through a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    steps: Vec<Step>,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// Whether any number of elements may be between.
    is_deep: bool,
    name: Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Any,
    This(String),
}

/// What is taken of the elements that the steps lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Element,
    Attribute { is_deep: bool, name: Name },
    Text { is_deep: bool },
}

/// Steps are bits, and one bit more says that all were taken.
const MOST_STEPS: usize = 62;

impl Path {
    /// Reads a path such as `/*`, `//@*`, `/order/item/@id` or `//name`, or says what is wrong with it.
    pub fn parse(written: &str) -> Result<Self, String> {
        let mut path = Self { steps: Vec::new(), end: End::Element };
        let mut rest = written.trim();
        while path.end == End::Element {
            let Some(behind) = rest.strip_prefix('/') else { break };
            let deep = behind.strip_prefix('/');
            let step = deep.unwrap_or(behind);
            let (step, behind) = step.split_at(step.find('/').unwrap_or(step.len()));
            rest = behind;
            let is_deep = deep.is_some();
            match step.strip_prefix('@') {
                Some(name) => path.end = End::Attribute { is_deep, name: name_of(name)? },
                None if step == "text()" => path.end = End::Text { is_deep },
                None => path.steps.push(Step { is_deep, name: name_of(step)? }),
            }
        }
        let has_nothing = path.steps.is_empty() && path.end == End::Element;
        if !rest.is_empty() || has_nothing || path.steps.len() > MOST_STEPS {
            return Err(format!(
                "`{written}` is no path that is known here; write one such as `/*`, `//@*` or `/a/b/@c`"
            ));
        }
        Ok(path)
    }

    pub(super) fn select<'a>(&self, xml: &'a Xml) -> Vec<&'a [u8]> {
        let reached = self.reached(xml);
        let is_end = |element: usize| reached.get(element).is_some_and(|bits| bits.here >> self.steps.len() & 1 == 1);
        // Below where the steps lead to, at any depth.
        let is_within =
            |element: usize| reached.get(element).is_some_and(|bits| bits.above >> self.steps.len() & 1 == 1);
        let leads = |element: usize, is_deep: bool| is_end(element) || (is_deep && is_within(element));
        match &self.end {
            End::Element => {
                let elements = xml.elements.iter().enumerate().filter(|(place, _)| is_end(*place));
                elements.map(|(_, element)| xml.text(&element.text)).collect()
            }
            End::Attribute { is_deep, name } => {
                let attributes = xml.attributes.iter().filter(|attribute| {
                    leads(attribute.element, *is_deep) && is_named(name, xml.name(&attribute.name))
                });
                attributes.map(|attribute| xml.name(&attribute.value).as_bytes()).collect()
            }
            End::Text { is_deep } => {
                let runs = xml.runs.iter().filter(|run| leads(run.element, *is_deep));
                runs.map(|run| xml.text(&run.text)).collect()
            }
        }
    }

    /// For each element, how many steps lead to it, and to what is above it, in all ways at once.
    fn reached(&self, xml: &Xml) -> Vec<Reached> {
        let mut reached: Vec<Reached> = Vec::with_capacity(xml.elements.len());
        for element in &xml.elements {
            // Above all is the document itself, where no step was taken.
            let parent = element.parent.and_then(|parent| reached.get(parent)).copied();
            let parent = parent.unwrap_or(Reached { here: 1, above: 0 });
            let above = parent.here | parent.above;
            let mut here = 0;
            for (taken, step) in self.steps.iter().enumerate() {
                let from = if step.is_deep { above } else { parent.here };
                if from >> taken & 1 == 1 && is_named(&step.name, xml.name(&element.name)) {
                    here |= 2 << taken;
                }
            }
            reached.push(Reached { here, above });
        }
        reached
    }
}

/// Numbers of steps that lead to an element, and to those above it, as bits.
#[derive(Clone, Copy)]
struct Reached {
    here: u64,
    above: u64,
}

fn name_of(written: &str) -> Result<Name, String> {
    let is_sign = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | ':');
    match written {
        "*" => Ok(Name::Any),
        name if !name.is_empty()
            && name.chars().all(is_sign)
            && !name.starts_with(['.', '-'])
            && !name.contains("::") =>
        {
            Ok(Name::This(name.to_owned()))
        }
        other => Err(format!("`{other}` is no step that is known here; write a name, `*`, `@name`, `@*` or `text()`")),
    }
}

fn is_named(name: &Name, found: &str) -> bool {
    match name {
        Name::Any => true,
        Name::This(name) => name == found,
    }
}
