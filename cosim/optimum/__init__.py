"""Perfect foresight: the least cost a period could have had, with a certificate, to judge by."""
