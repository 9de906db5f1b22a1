package console

import (
	"quartet/bus/model"
	"quartet/client"
)

// Pages asks for the pages of a list with do, one after the other and none before it is wanted, and
// calls each for their items, in the order of keys, until that returns an error. It returns the
// result of the last page. ([client.Client.List] does the same where neither each page's result nor
// the position of the cut is wanted.)
func Pages(
	asked client.Request, do func(client.Request) (client.Result, error), each func(*model.Item) error,
) (client.Result, error) {
	for {
		result, err := do(asked)
		if err != nil {
			return result, err
		}
		page, err := result.Page()
		if err != nil {
			return result, err
		}
		for i := range page.Items {
			if err := each(&page.Items[i]); err != nil {
				return result, err
			}
		}
		if result.Next == "" {
			return result, nil
		}
		client.FromPage(result.Next)(&asked)
	}
}
