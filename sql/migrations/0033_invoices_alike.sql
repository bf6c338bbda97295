-- Invoices of one supplier over one amount are found one by one: not every invoice there ever was is compared with those that are open.
CREATE INDEX invoice_of_bill ON document (bill_key) WHERE bill_key IS NOT NULL;
