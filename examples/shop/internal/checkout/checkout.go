// Package checkout turns carts into orders.
package checkout

import (
	"errors"
	"sync/atomic"

	"shop/internal/mail"
	"shop/internal/payment"
	"shop/internal/store"
)

// ErrEmpty is returned for a cart without products.
var ErrEmpty = errors.New("the cart is empty")

// Service places orders.
type Service struct {
	Catalog  *store.Catalog
	Visitors *store.Visitors
	Ledger   *store.Ledger
	Payments *payment.Client
	Mailer   *mail.Mailer

	orders atomic.Int64
}

// Order is what was bought.
type Order struct {
	ID    int64 `json:"id"`
	Cents int   `json:"cents"`
	Items int   `json:"items"`
}

// Place pays for the visitor's cart, writes the order to the ledger and sends a mail.
func (s *Service) Place(visitor uint64) (Order, error) {
	cart := s.Visitors.Cart(visitor)
	if len(cart) == 0 {
		return Order{}, ErrEmpty
	}
	order := Order{ID: s.orders.Add(1), Cents: s.price(cart), Items: len(cart)}
	if err := s.Payments.Authorize(order.ID, order.Cents); err != nil {
		return Order{}, err
	}
	if err := s.Ledger.Append(order.ID, order.Cents); err != nil {
		return Order{}, err
	}
	s.Visitors.Empty(visitor)
	s.Mailer.Send(mail.Mail{Order: order.ID, Cents: order.Cents})
	return order, nil
}

func (s *Service) price(cart []int) (cents int) {
	for _, id := range cart {
		if p, ok := s.Catalog.Get(id); ok {
			cents += p.Cents
		}
	}
	return cents
}
