//! Transformations of `SecLang`, which take a value's disguise off before a rule looks at it.

mod comments;
mod digests;
mod escapes;
mod letters;
mod paths;
mod unicode;
mod urls;

use crate::bytes::{ByteSet, NO_BREAK_SPACE, SPACE};

macro_rules! transformations {
    ($($(#[doc = $what:literal])+ $variant:ident $name:literal $(| $other:literal)*: $may_change:expr => $apply:expr,)+) => {
        /// A transformation, by the name that rules give it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum Transformation {
            $($(#[doc = $what])+ $variant,)+
        }

        impl Transformation {
            /// All transformations, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that rules give it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The transformation of a name, whatever the case of its letters.
            pub fn from_name(name: &str) -> Option<Self> {
                $(if name.eq_ignore_ascii_case($name) $(|| name.eq_ignore_ascii_case($other))* {
                    return Some(Self::$variant);
                })+
                None
            }

            /// The bytes one of which a value needs to have for this transformation to change it; an empty value is changed
            /// only where [`Self::may_change_empty`] says so.
            pub const fn may_change(self) -> &'static ByteSet {
                match self {
                    $(Self::$variant => const { &$may_change },)+
                }
            }

            /// Appends what becomes of a value; what it does is said where each transformation is.
            fn append(self, input: &[u8], out: &mut Vec<u8>) {
                let append: fn(&[u8], &mut Vec<u8>) = match self {
                    $(Self::$variant => $apply,)+
                };
                append(input, out);
            }
        }
    };
}

transformations! {
    /// Decodes Base64 up to the first byte that is none.
    Base64Decode "base64Decode": ByteSet::FULL => digests::base64_decode,
    /// Decodes Base64 and passes over what is none.
    Base64DecodeExt "base64DecodeExt": ByteSet::FULL => digests::base64_decode_lenient,
    /// Encodes as Base64.
    Base64Encode "base64Encode": ByteSet::FULL => digests::base64_encode,
    /// Undoes what hides a command from a reader and not from a shell: quotes, carets, separators, letters of either case.
    CmdLine "cmdLine": ByteSet::new(b"\"'\\^ ,;\t\r\n\0").with_range(b'A', b'Z') => letters::command_line,
    /// Makes each run of white space one space.
    CompressWhitespace "compressWhitespace": SPACE.with(NO_BREAK_SPACE) => letters::compress_space,
    /// Decodes the escapes of CSS 2.
    CssDecode "cssDecode": ByteSet::new(b"\\") => escapes::css_decode,
    /// Decodes the escapes of ANSI C.
    EscapeSeqDecode "escapeSeqDecode": ByteSet::new(b"\\") => escapes::c_decode,
    /// Reads pairs of hexadecimal digits as bytes.
    HexDecode "hexDecode": ByteSet::FULL => digests::hex_decode,
    /// Writes bytes as pairs of hexadecimal digits.
    HexEncode "hexEncode": ByteSet::FULL => digests::hex_encode,
    /// Decodes numeric entities of HTML, and `quot`, `amp`, `lt`, `gt` and `nbsp`.
    HtmlEntityDecode "htmlEntityDecode": ByteSet::new(b"&") => escapes::html_decode,
    /// Decodes the escapes of `JavaScript`.
    JsDecode "jsDecode": ByteSet::new(b"\\") => escapes::js_decode,
    /// Counts bytes.
    Length "length": ByteSet::FULL => digests::length,
    /// Makes letters of ASCII small.
    Lowercase "lowercase": ByteSet::EMPTY.with_range(b'A', b'Z') => letters::lowercase,
    /// The MD5 of a value, as sixteen bytes.
    Md5 "md5": ByteSet::FULL => digests::md5,
    /// Changes nothing; in a rule it takes away what was written before.
    None "none": ByteSet::EMPTY => letters::nothing,
    /// Takes `.`, `..` and empty segments out of a path.
    NormalizePath "normalizePath" | "normalisePath": ByteSet::new(b"/.") => paths::normalize,
    /// The same, after backslashes have become slashes.
    NormalizePathWin "normalizePathWin" | "normalisePathWin": ByteSet::new(b"/.\\") => paths::normalize_windows,
    /// Makes the eighth bit of each byte the even parity of the others.
    ParityEven7Bit "parityEven7bit": ByteSet::FULL => letters::even_parity,
    /// Makes the eighth bit of each byte the odd parity of the others.
    ParityOdd7Bit "parityOdd7bit": ByteSet::FULL => letters::odd_parity,
    /// Makes the eighth bit of each byte zero.
    ParityZero7Bit "parityZero7bit": ByteSet::EMPTY.with_range(0x80, 0xFF) => letters::zero_parity,
    /// Takes comments out: `/* */`, `<!-- -->`, and what follows `--` or `#`.
    RemoveComments "removeComments": ByteSet::new(b"*-#") => comments::remove,
    /// Takes the signs of comments out, and leaves what they enclose.
    RemoveCommentsChar "removeCommentsChar": ByteSet::new(b"*-#") => comments::remove_signs,
    /// Takes zero bytes out.
    RemoveNulls "removeNulls": ByteSet::new(b"\0") => letters::remove_zeros,
    /// Takes white space out.
    RemoveWhitespace "removeWhitespace": SPACE.with(NO_BREAK_SPACE) => letters::remove_space,
    /// Makes each comment of the form `/* */` one space.
    ReplaceComments "replaceComments": ByteSet::new(b"*") => comments::replace,
    /// Makes zero bytes spaces.
    ReplaceNulls "replaceNulls": ByteSet::new(b"\0") => letters::replace_zeros,
    /// The SHA-1 of a value, as twenty bytes.
    Sha1 "sha1": ByteSet::FULL => digests::sha1,
    /// Decodes numbers such as `0x414243` into the text that a database sees in them.
    SqlHexDecode "sqlHexDecode": ByteSet::new(b"xX\0") => digests::sql_hex_decode,
    /// Takes white space away at both ends.
    Trim "trim": SPACE => letters::trim,
    /// Takes white space away at the beginning.
    TrimLeft "trimLeft": SPACE => letters::trim_left,
    /// Takes white space away at the end.
    TrimRight "trimRight": SPACE => letters::trim_right,
    /// Makes letters of ASCII large.
    Uppercase "uppercase": ByteSet::EMPTY.with_range(b'a', b'z') => letters::uppercase,
    /// Decodes `%XX` and `+`, and leaves what is no valid escape.
    UrlDecode "urlDecode": ByteSet::new(b"%+") => urls::decode,
    /// The same, and `%uXXXX` as IIS has it.
    UrlDecodeUni "urlDecodeUni": ByteSet::new(b"%+") => urls::decode_unicode,
    /// Encodes all but digits, letters and `*`.
    UrlEncode "urlEncode": urls::TO_ENCODE => urls::encode,
    /// Writes characters beyond ASCII as `%uXXXX`, and drops what is no UTF-8.
    Utf8ToUnicode "utf8toUnicode": ByteSet::new(b"\0").with_range(0x80, 0xFF) => unicode::from_utf8,
}

impl Transformation {
    /// Applies it to a value. `false` says that the result equals the value, and leaves `out` as it was; after `true`, `out`
    /// holds the result and nothing else.
    pub fn apply(self, input: &[u8], out: &mut Vec<u8>) -> bool {
        if input.is_empty() {
            if !self.may_change_empty() {
                return false;
            }
        } else if self.may_change().first_in(input).is_none() {
            return false;
        }
        self.convert(input, out)
    }

    /// As [`Self::apply`], of a value that it may change.
    pub fn convert(self, input: &[u8], out: &mut Vec<u8>) -> bool {
        let before = out.len();
        self.append(input, out);
        if out.get(before..) == Some(input) {
            out.truncate(before);
            return false;
        }
        out.drain(..before);
        true
    }

    /// Whether something becomes of an empty value: a length or a digest.
    pub const fn may_change_empty(self) -> bool {
        matches!(self, Self::Length | Self::Md5 | Self::Sha1)
    }

    /// Whether a value that holds these bytes is sure to stay as it is.
    pub fn leaves(self, held: &ByteSet, value: &[u8]) -> bool {
        if value.is_empty() {
            return !self.may_change_empty();
        }
        if !self.may_change().meets(held) {
            return true;
        }
        // Single spaces between words stay, which is what most texts have.
        match self {
            Self::CompressWhitespace => !held.meets(&BUT_SPACE) && !has_space_before(value, b" "),
            Self::CmdLine => !held.meets(&CMD_LINE_BUT_SPACE) && !has_space_before(value, b" /("),
            _ => false,
        }
    }

    /// Whether `ModSecurity` 2.9 takes the value for changed, which `multiMatch` depends on.
    ///
    /// That is not always the same as whether it is another one: some transformations always say so, and one of them
    /// only says so when the value has become shorter.
    pub fn counts_as_change(self, input: &[u8], output: &[u8]) -> bool {
        const ALWAYS: [Transformation; 7] = [
            Transformation::CmdLine,
            Transformation::Length,
            Transformation::Md5,
            Transformation::Sha1,
            Transformation::SqlHexDecode,
            Transformation::HexDecode,
            Transformation::HexEncode,
        ];
        if matches!(self, Self::Base64Decode | Self::Base64DecodeExt | Self::Base64Encode) {
            return !output.is_empty();
        }
        if self == Self::CompressWhitespace {
            return output.len() != input.len();
        }
        if self == Self::Utf8ToUnicode {
            return unicode::has_character(input);
        }
        if self == Self::NormalizePath {
            return paths::says_changed(input);
        }
        if self == Self::NormalizePathWin {
            return paths::says_changed_windows(input);
        }
        ALWAYS.contains(&self) || input != output
    }
}

/// Whether a space stands before one of some bytes.
fn has_space_before(value: &[u8], bytes: &[u8]) -> bool {
    value.array_windows().any(|[one, next]| *one == b' ' && bytes.contains(next))
}

/// White space but for the space itself.
const BUT_SPACE: ByteSet = SPACE.with(NO_BREAK_SPACE).and(ByteSet::new(b" ").complement());
const CMD_LINE_BUT_SPACE: ByteSet = Transformation::CmdLine.may_change().and(ByteSet::new(b" ").complement());

#[cfg(test)]
mod tests;
