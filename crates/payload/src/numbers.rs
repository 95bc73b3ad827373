//! Numbers of cards and persons, checked by their digits (`verifyCC`, `verifyCPF`, `verifySSN`).
//!
//! Which part of a value looks like such a number, the rule's regular expression says.

/// Whether the digits have the check sum of a credit card (Luhn, ISO 7812).
pub fn is_card(found: &[u8]) -> bool {
    let mut digits = 0_usize;
    let mut sum = 0;
    for digit in digits_of(found).rev() {
        let doubled = if digit > 4 { digit * 2 - 9 } else { digit * 2 };
        sum += if digits % 2 == 1 { doubled } else { digit };
        digits += 1;
    }
    digits > 0 && sum % 10 == 0
}

/// Whether the first eleven digits are a CPF, the number of a person in Brazil.
pub fn is_cpf(found: &[u8]) -> bool {
    let mut cpf = [0_u32; 11];
    let mut digits = digits_of(found);
    for place in &mut cpf {
        let Some(digit) = digits.next() else { return false };
        *place = digit;
    }
    let [first, ..] = cpf;
    let [one, two, three, four, five, six, seven, eight, nine, tenth, eleventh] = cpf;
    let counts = [one, two, three, four, five, six, seven, eight, nine];
    let is_row = cpf == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
    if cpf.iter().all(|digit| *digit == first) || is_row {
        return false;
    }
    let check = |digits: &[u32]| {
        let sum: u32 = digits.iter().rev().zip(2..).map(|(digit, weight)| digit * weight).sum();
        if sum % 11 < 2 { 0 } else { 11 - sum % 11 }
    };
    let tenth_expected = check(&counts);
    let with_tenth = [one, two, three, four, five, six, seven, eight, nine, tenth_expected];
    tenth == tenth_expected && eleventh == check(&with_tenth)
}

/// Whether the digits can be a social security number of the United States.
pub fn is_ssn(found: &[u8]) -> bool {
    let digits: Vec<u32> = digits_of(found).take(10).collect();
    let Some((area, [group @ .., _, _, _, _])) = digits.split_first_chunk::<3>() else { return false };
    let (&[one, two], Some(serial)) = (group, digits.last_chunk::<4>()) else { return false };
    let steps = || digits.iter().zip(digits.iter().skip(1));
    if steps().all(|(one, next)| one + 1 == *next) || steps().all(|(one, next)| one == next) {
        return false;
    }
    let area = area.iter().fold(0, |number, digit| number * 10 + digit);
    area != 0 && area < 740 && area != 666 && one + two != 0 && serial.iter().any(|digit| *digit != 0)
}

fn digits_of(found: &[u8]) -> impl DoubleEndedIterator<Item = u32> {
    found.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cards_have_a_check_sum() {
        for (found, expected) in [
            ("4012888888881881", true),
            ("4111-1111-1111-1111", true),
            ("5555 5555 5555 4444", true),
            ("378282246310005", true),
            ("4012888888881882", false),
            ("----", false),
            ("0", true),
        ] {
            assert_eq!(is_card(found.as_bytes()), expected, "{found}");
        }
    }

    #[test]
    fn a_cpf_has_two_check_digits_and_is_no_row() {
        for (found, expected) in [
            ("529.982.247-25", true),
            ("52998224725", true),
            ("529.982.247-26", false),
            ("111.111.111-11", false),
            ("01234567890", false),
            ("5299822472", false),
            ("529982247259", true),
        ] {
            assert_eq!(is_cpf(found.as_bytes()), expected, "{found}");
        }
    }

    #[test]
    fn a_social_security_number_has_no_group_of_zeros_and_a_known_area() {
        for (found, expected) in [
            ("078-05-1120", true),
            ("000-05-1120", false),
            ("078-00-1120", false),
            ("078-05-0000", false),
            ("666-05-1120", false),
            ("740-05-1120", false),
            ("739-05-1120", true),
            ("123456789", false),
            ("222222222", false),
            ("1234567891", false),
            ("12345678", false),
        ] {
            assert_eq!(is_ssn(found.as_bytes()), expected, "{found}");
        }
    }

    proptest! {
        #[test]
        fn one_wrong_digit_makes_a_card_wrong(digits in "[0-9]{1,18}", place: prop::sample::Index, other in 1_u8..10) {
            let mut digits = digits.into_bytes();
            let check = (b'0'..=b'9').find(|check| is_card(&[digits.as_slice(), &[*check]].concat()));
            digits.extend(check);
            prop_assert!(is_card(&digits));
            let place = place.index(digits.len());
            digits[place] = b'0' + (digits[place] - b'0' + other) % 10;
            prop_assert!(!is_card(&digits));
        }
    }
}
