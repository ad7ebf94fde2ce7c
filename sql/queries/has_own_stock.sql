-- Whether anything but these SKUs was ever booked.
SELECT EXISTS (SELECT FROM stock WHERE sku <> ALL ($1::text[]))
