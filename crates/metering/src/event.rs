//! Usage records as events, for services that bill.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::record::UsageRecord;

impl UsageRecord<'_> {
    /// The record as a `CloudEvent` 1.0. Its id is that of the exchange, so that whoever gets it twice counts it once.
    pub fn cloud_event(&self) -> Value {
        json!({
            "specversion": "1.0",
            "id": self.event_id(),
            "source": "vestibule",
            "type": "vestibule.call",
            "subject": self.company,
            "time": self.time().to_string(),
            "datacontenttype": "application/json",
            "data": self.properties(),
        })
    }

    /// The record as an event of Lago, for the subscription that has the company's name.
    pub fn lago_event(&self) -> Value {
        let micros = self.time().as_microsecond();
        json!({
            "transaction_id": self.event_id(),
            "external_subscription_id": self.company,
            "code": "vestibule_call",
            "timestamp": format!("{}.{:03}", micros / 1_000_000, micros / 1000 % 1000),
            "properties": self.properties(),
        })
    }

    fn properties(&self) -> Value {
        json!({
            "company": self.company,
            "app": self.app,
            "product": self.product,
            "api": self.api,
            "operation": format!("{} {}", self.method, self.template),
            "status": self.status,
            "complete": self.complete,
            "calls": 1,
            "cost": self.cost,
            "bytes_in": self.received,
            "bytes_out": self.sent,
            "duration_micros": self.took,
        })
    }

    fn event_id(&self) -> String {
        format!("{:032x}", self.id)
    }

    fn time(&self) -> Timestamp {
        i64::try_from(self.at).ok().and_then(|at| Timestamp::from_microsecond(at).ok()).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_an_event_with_the_id_of_its_exchange() {
        let record = UsageRecord {
            id: 0xc0_ffee,
            at: 1_767_225_600_250_000,
            status: 201,
            complete: true,
            cost: 2,
            received: 3,
            sent: 4,
            took: 5,
            company: "acme",
            app: "shop",
            product: "gold",
            api: "orders",
            method: "POST",
            template: "/{id}",
        };
        let data = json!({
            "company": "acme", "app": "shop", "product": "gold", "api": "orders", "operation": "POST /{id}", "status": 201,
            "complete": true, "calls": 1, "cost": 2, "bytes_in": 3, "bytes_out": 4, "duration_micros": 5,
        });
        let id = "00000000000000000000000000c0ffee";
        let event = json!({
            "specversion": "1.0", "id": id, "source": "vestibule", "type": "vestibule.call", "subject": "acme",
            "time": "2026-01-01T00:00:00.25Z", "datacontenttype": "application/json", "data": data,
        });
        assert_eq!(record.cloud_event(), event);
        let lago = json!({
            "transaction_id": id, "external_subscription_id": "acme", "code": "vestibule_call",
            "timestamp": "1767225600.250", "properties": data,
        });
        assert_eq!(record.lago_event(), lago);
    }
}
